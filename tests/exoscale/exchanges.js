// Holds exchanges against a description of an API, as Prism does between client and server.
//
//   node exchanges.js FOLDER DESCRIPTION
//
// FOLDER is where Prism is installed. Standard input has one exchange a line, as JSON: `method`,
// `path`, `query`, `headers` and `body` of the request; `status`, if there was an answer, and
// `answer`. For each of them standard output has one line: the list of what was not as described.
"use strict";
const path = require("path");
const readline = require("readline");

const [folder, description] = process.argv.slice(2);
const prism = (part) => require(path.resolve(folder, "node_modules/@stoplight/prism-http/dist", part));
const { getHttpOperationsFromSpec } = prism("index.js");
const { validateInput, validateOutput } = prism("validator/index.js");
const route = prism("router/index.js").default;

const errors = (place, found) =>
  (found._tag === "Left" ? [].concat(found.left) : [])
    .map((one) => `${place}: ${(one.path || []).join(".")} ${one.message || one.title || one}`);

const held = (resources, { method, path, query, headers, body, status, answer }) => {
  const input = { method: method.toLowerCase(), url: { path, query }, headers, body: body ?? undefined };
  const found = route({ resources, input });
  if (found._tag === "Left") return errors("route", found);
  const resource = found.right;
  const asked = errors("request", validateInput({ resource, element: input }));
  // The description names 200 and no other status.
  if (status !== 200) return asked;
  const element = { statusCode: status, headers: { "content-type": "application/json" }, body: answer };
  return asked.concat(errors("answer", validateOutput({ resource, element })));
};

getHttpOperationsFromSpec(path.resolve(description)).then((resources) => {
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const exchange = JSON.parse(line);
    const name = `${exchange.method} ${exchange.path}`;
    console.log(JSON.stringify(held(resources, exchange).map((what) => `${name}: ${what}`)));
  });
});
