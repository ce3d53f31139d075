//! Settings as a file that explains itself.

use anyhow::Context;
use berth_simulations::replay::ReplaySettings;
use serde_json::{Map, Value};

use crate::commands::Failure;

/// How wide a comment becomes.
const WIDTH: usize = 96;

/// All settings as YAML, each with what it means. Read again they are the same.
///
/// # Errors
/// Never, unless settings cannot be written as JSON.
pub(super) fn text(settings: &ReplaySettings) -> Result<String, Failure> {
    let schema = schemars::schema_for!(ReplaySettings).to_value();
    let values = serde_json::to_value(settings).context("the settings cannot be written")?;
    let mut page = Page { definitions: &schema["$defs"], text: String::new() };
    page.comment("Settings of `berth simulate`: what is left out keeps its default.", 0);
    if let Value::Object(values) = &values {
        page.members(values, &schema, 0);
    }
    Ok(page.text)
}

struct Page<'a> {
    definitions: &'a Value,
    text: String,
}

impl<'a> Page<'a> {
    fn members(&mut self, values: &Map<String, Value>, schema: &'a Value, depth: usize) {
        for (name, value) in values {
            let member = &schema["properties"][name];
            let kind = self.resolved(member);
            if depth == 0 {
                self.text.push('\n');
            }
            let told = [member, kind].iter().find_map(|one| one["description"].as_str());
            self.comment(told.unwrap_or_default(), depth);
            self.choices(kind, depth);
            let indent = "  ".repeat(depth);
            match value {
                Value::Object(values) => {
                    self.text.push_str(&format!("{indent}{name}:\n"));
                    self.members(values, kind, depth + 1);
                }
                value => self.text.push_str(&format!("{indent}{name}: {value}\n")),
            }
        }
    }

    /// What a schema refers to, if it does.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        name.map_or(schema, |name| &self.definitions[name])
    }

    /// What there is to choose from: words, or what a list may hold.
    fn choices(&mut self, schema: &'a Value, depth: usize) {
        let of = match &schema["items"] {
            Value::Null => schema,
            items => self.resolved(items),
        };
        for one in of["oneOf"].as_array().into_iter().flatten() {
            let members = one["properties"].as_object().into_iter().flatten();
            let (mut tag, mut others) = (one["const"].as_str(), Vec::new());
            for (name, member) in members {
                match member["const"].as_str() {
                    Some(word) => tag = Some(word),
                    None => others.push(name.as_str()),
                }
            }
            let Some(tag) = tag else { continue };
            let with = match others.as_slice() {
                [] => String::new(),
                others => format!(" (kind: {tag}, {})", others.join(", ")),
            };
            let told = one["description"].as_str().unwrap_or_default();
            self.comment(&format!("- {tag}{with}: {told}"), depth);
        }
    }

    fn comment(&mut self, told: &str, depth: usize) {
        let start = format!("{}#", "  ".repeat(depth));
        let mut line = start.clone();
        for word in told.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                self.text.push_str(&line);
                self.text.push('\n');
                line.clone_from(&start);
            }
            line.push(' ');
            line.push_str(word);
        }
        if line != start {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::parse;
    use super::*;

    #[test]
    fn what_is_printed_is_read_again_and_explains_every_setting() {
        let text_of = "incidents: [{kind: spot-storm, atSeconds: 5, percent: 80}]\n\
                       cloud: {provider: exoscale, readySeconds: [1, 2, 3, 4, 5]}\n";
        for settings in [ReplaySettings::default(), parse(text_of).unwrap()] {
            let text = text(&settings).unwrap();
            assert_eq!(parse(&text).unwrap(), settings, "{text}");
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                let is_comment = line.trim_start().starts_with('#');
                let told = number > 0 && lines[number - 1].trim_start().starts_with('#');
                assert!(line.is_empty() || is_comment || told, "unexplained: {line}");
                assert!(line.len() <= WIDTH + 4, "{line}");
            }
        }
    }

    #[test]
    fn what_can_be_chosen_is_listed() {
        let text = text(&ReplaySettings::default()).unwrap();
        assert!(text.contains("  # - exoscale: Exoscale.\n"), "{text}");
        let storm = "# - spot-storm (kind: spot-storm, atSeconds, percent): So many percent";
        assert!(text.contains(storm), "{text}");
    }
}
