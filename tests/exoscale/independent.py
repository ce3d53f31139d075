"""Exoscale's own client against the fake: independent.py ENDPOINT KEY SECRET TEMPLATE NETWORK"""

import sys

from exoscale.api.exceptions import ExoscaleAPIAuthException, ExoscaleAPIClientException
from exoscale.api.v2 import Client

endpoint, key, secret, template, network = sys.argv[1:]
client = Client(key, secret, url=endpoint)


def done(operation):
    assert operation["state"] == "pending", operation
    return client.wait(operation["id"], max_wait_time=60)


assert [zone["name"] for zone in client.list_zones()["zones"]] == ["ch-gva-2"]
types = client.list_instance_types()["instance-types"]
small = next(t for t in types if (t["family"], t["size"]) == ("standard", "small"))
assert client.get_instance_type(id=small["id"]) == small
assert {quota["resource"]: quota["limit"] for quota in client.list_quotas()["quotas"]}["gpu"] == 0
assert client.get_active_nodepool_template(kube_version="1.36.2", variant="standard") == {
    "active-template": template
}

created = done(
    client.create_instance(
        name="by-python",
        disk_size=50,
        instance_type={"id": small["id"]},
        template={"id": template},
        labels={"owner": "python"},
    )
)
machine = created["reference"]["id"]
found = client.get_instance(id=machine)
assert (found["state"], found["disk-size"], found["name"]) == ("running", 50, "by-python"), found
listed = client.list_instances(labels="owner=python")["instances"]
assert [one["id"] for one in listed] == [machine], listed
assert client.list_instances(labels="owner=nobody")["instances"] == []
done(client.attach_instance_to_private_network(id=network, instance={"id": machine}))
assert client.get_instance(id=machine)["private-networks"] == [{"id": network}]
done(client.update_instance(id=machine, labels={"owner": "somebody"}))
assert client.get_instance(id=machine)["labels"] == {"owner": "somebody"}
done(client.delete_instance(id=machine))
try:
    client.get_instance(id=machine)
    raise AssertionError("it is gone")
except ExoscaleAPIClientException as error:
    assert "404" in str(error), error

done(client.create_dbaas_service_pg(name="orders", plan="startup-4", version="17"))
service = client.get_dbaas_service_pg(name="orders")
assert (service["state"], service["plan"]) == ("running", "startup-4"), service
revealed = client.reveal_dbaas_postgres_user_password(service_name="orders", username="avnadmin")
assert revealed["username"] == "avnadmin" and revealed["password"]
done(client.delete_dbaas_service_pg(name="orders"))
assert client.list_dbaas_services()["dbaas-services"] == []

try:
    Client(key, "not-the-secret", url=endpoint).list_quotas()
    raise AssertionError("the signature is wrong")
except ExoscaleAPIAuthException:
    pass
print("everything as Exoscale's client has it")
