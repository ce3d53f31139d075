"""OVH's own client against the fake: ovh.py ENDPOINT APPLICATION SECRET CONSUMER PROJECT"""

import sys

# This file has the package's name.
sys.path.pop(0)

import ovh
import ovh.client

endpoint, application, secret, consumer, project = sys.argv[1:]
ovh.client.ENDPOINTS["fake"] = endpoint
client = ovh.Client("fake", application, secret, consumer)
assert 3590 < client.time_delta < 3610, client.time_delta
databases = f"/cloud/project/{project}/database/postgresql"
instances = f"/cloud/project/{project}/instance"

made = client.post(
    databases,
    description="by-python",
    plan="essential",
    version="17",
    nodesPattern={"flavor": "db1-4", "number": 1, "region": "GRA"},
    ipRestrictions=[{"ip": "192.0.2.1/32", "description": "one"}],
)
database = f"{databases}/{made['id']}"
assert client.get(databases) == [made["id"]]
found = client.get(database)
assert (found["description"], found["status"], found["flavor"]) == ("by-python", "READY", "db1-4")
assert [one["ip"] for one in found["ipRestrictions"]] == ["192.0.2.1/32"], found
client.put(database, plan="business", flavor="db1-7", disk={"size": 200}, ipRestrictions=[])
found = client.get(database)
assert (found["plan"], found["flavor"], found["disk"]["size"]) == ("business", "db1-7", 200)
assert found["ipRestrictions"] == []
(user,) = client.get(f"{database}/user")
assert client.get(f"{database}/user/{user}")["username"] == "avnadmin"
assert "password" not in client.get(f"{database}/user/{user}")
reset = lambda: client.post(f"{database}/user/{user}/credentials/reset")["password"]
assert reset() != reset()
assert client.get(f"{database}/certificates")["ca"]
client.delete(database)
try:
    client.get(database)
    raise AssertionError("it is gone")
except ovh.exceptions.ResourceNotFoundError:
    pass

flavors = client.get(f"/cloud/project/{project}/flavor", region="GRA11")
flavor = next(one["id"] for one in flavors if one["name"] == "b3-8")
machine = client.post(
    instances, name="by-python", flavorId=flavor, imageId="i", region="GRA11", userData="#cloud-config"
)
listed = client.get(instances, region="GRA11")
assert [(one["id"], one["status"]) for one in listed] == [(machine["id"], "ACTIVE")], listed
assert client.get(instances, region="SBG5") == []
assert client.get(f"{instances}/{machine['id']}")["name"] == "by-python"
client.delete(f"{instances}/{machine['id']}")
assert client.get(instances) == []

try:
    ovh.Client("fake", application, "not-the-secret", consumer).get(databases)
    raise AssertionError("the signature is wrong")
except ovh.exceptions.APIError as error:
    assert "Invalid signature" in str(error), error
print("everything as OVH's client has it")
