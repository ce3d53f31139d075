"""Scaleway's own client against the fake: scaleway.py ENDPOINT SECRET PROJECT"""

import sys

# This file has the package's name.
sys.path.pop(0)

from scaleway import Client, ScalewayException
from scaleway.instance.v1 import InstanceV1API, ServerAction, VolumeServerTemplate
from scaleway.instance.v1.custom_api import InstanceUtilsV1API
from scaleway.rdb.v1 import (
    ACLRuleRequest,
    EndpointSpec,
    EndpointSpecPrivateNetwork,
    EndpointSpecPrivateNetworkIpamConfig,
    RdbV1API,
)

endpoint, secret, project = sys.argv[1:]


def client(secret):
    return Client(
        access_key="SCWXXXXXXXXXXXXXXXXX",
        secret_key=secret,
        api_url=endpoint,
        default_project_id=project,
        default_region="fr-par",
        default_zone="fr-par-1",
    )


rdb = RdbV1API(client(secret))
made = rdb.create_instance(
    engine="PostgreSQL-17",
    user_name="somebody",
    password="Passw0rd-",
    node_type="DB-DEV-S",
    name="by-python",
    is_ha_cluster=False,
    disable_backup=False,
    backup_same_region=False,
    volume_type="sbs_5k",
    volume_size=10_000_000_000,
    tags=["python", "other"],
)
found = rdb.wait_for_instance(instance_id=made.id)
assert (found.status, found.node_type, found.engine) == ("ready", "DB-DEV-S", "PostgreSQL-17"), found
assert found.volume.size == 10_000_000_000 and found.project_id == project
assert [one.ip for one in found.endpoints if one.load_balancer] == ["198.51.100.7"]
assert [one.id for one in rdb.list_instances_all(tags=["python"])] == [made.id]
assert rdb.list_instances_all(tags=["nobody"]) == []
rules = rdb.list_instance_acl_rules_all(instance_id=made.id)
assert [rule.ip for rule in rules] == ["0.0.0.0/0"], "to begin with, everybody may connect"
only = ACLRuleRequest(ip="192.0.2.1/32", description="one")
rdb.set_instance_acl_rules(instance_id=made.id, rules=[only])
rules = rdb.list_instance_acl_rules_all(instance_id=made.id)
assert [rule.ip for rule in rules] == ["192.0.2.1/32"], rules
rdb.upgrade_instance(instance_id=made.id, node_type="DB-DEV-M")
rdb.upgrade_instance(instance_id=made.id, volume_size=20_000_000_000)
found = rdb.get_instance(instance_id=made.id)
assert (found.node_type, found.volume.size) == ("DB-DEV-M", 20_000_000_000)
rdb.update_user(instance_id=made.id, name="somebody", password="An0ther-one")
rdb.create_user(instance_id=made.id, name="admin", password="Passw0rd-", is_admin=True)
assert rdb.get_instance_certificate(instance_id=made.id).content
try:
    six = ACLRuleRequest(ip="2001:db8::/32", description="six")
    rdb.set_instance_acl_rules(instance_id=made.id, rules=[six])
    raise AssertionError("rules are of IPv4")
except ScalewayException as error:
    assert error.status_code == 400, error
rdb.delete_instance(instance_id=made.id)
try:
    rdb.get_instance(instance_id=made.id)
    raise AssertionError("it is gone")
except ScalewayException as error:
    assert error.status_code == 404, error

network = EndpointSpecPrivateNetwork(
    private_network_id="6170692e-7363-616c-6577-61792e636f6d",
    ipam_config=EndpointSpecPrivateNetworkIpamConfig(),
)
inside = rdb.create_instance(
    engine="PostgreSQL-17",
    user_name="somebody",
    password="Passw0rd-",
    node_type="DB-DEV-S",
    name="inside",
    is_ha_cluster=False,
    disable_backup=False,
    backup_same_region=False,
    volume_type="sbs_5k",
    volume_size=10_000_000_000,
    init_endpoints=[EndpointSpec(private_network=network)],
)
(only,) = inside.endpoints
assert only.private_network.private_network_id == network.private_network_id, only
assert only.load_balancer is None, "it has no public address"
rdb.delete_endpoint(endpoint_id=only.id)
assert rdb.get_instance(instance_id=inside.id).endpoints == []
rdb.delete_instance(instance_id=inside.id)

instance = InstanceV1API(client(secret))
server = instance._create_server(
    commercial_type="DEV1-S",
    name="by-python",
    image="debian_trixie",
    volumes={"0": VolumeServerTemplate(volume_type="l_ssd", size=20_000_000_000)},
    dynamic_ip_required=True,
    protected=False,
    tags=["python"],
).server
assert server.state == "stopped", server
utilities = InstanceUtilsV1API(client(secret))
utilities.set_server_user_data(server_id=server.id, key="cloud-init", content=b"#cloud-config")
instance.server_action(server_id=server.id, action=ServerAction.POWERON)
(found,) = instance.list_servers_all(tags=["python"])
assert (found.state, found.public_ips[0].address) == ("running", "198.51.100.8"), found
assert instance.get_server(server_id=server.id).server.tags == ["python"]
instance.server_action(server_id=server.id, action=ServerAction.TERMINATE)
assert instance.list_servers_all() == []

try:
    RdbV1API(client("00000000-0000-4000-8000-000000000000")).list_instances()
    raise AssertionError("the key is wrong")
except ScalewayException as error:
    assert error.status_code == 401, error
print("everything as Scaleway's client has it")
