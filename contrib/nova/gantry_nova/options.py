# SPDX-License-Identifier: Apache-2.0
"""The options of [gantry] in nova.conf."""
from oslo_config import cfg

GROUP = cfg.OptGroup("gantry", title="Gantry", help="How nova-compute reaches gantryd, and what it asks of it.")

OPTIONS = [
    cfg.StrOpt("host", default="unix:///run/gantry/gantry.sock",
               help="Where gantryd listens: unix:///PATH or https://HOST:PORT. nova-compute has to be one of its trusted_actors."),
    cfg.StrOpt("ca_file", help="Certificate of the authority that has signed gantryd's; for https."),
    cfg.StrOpt("cert_file", help="Our certificate; for https."),
    cfg.StrOpt("key_file", help="Its key; for https."),
    cfg.IntOpt("timeout", default=60, min=1, help="Seconds in which gantryd has to answer what it need not wait for."),
    cfg.IntOpt("away_timeout", default=60, min=0,
               help="Seconds in which a gantryd that is away may come back before what was asked of it fails."),
    cfg.IntOpt("operation_timeout", default=900, min=1, max=3600,
               help="Seconds that a start, with the pull of its image, a stop or a snapshot may take."),
    cfg.StrOpt("network", default="none",
               help="Network of the engine that instances get: none, bridge or the name of one. One with Neutron ports gets those."),
    cfg.BoolOpt("ignore_ports", default=False,
                help="Start instances that have Neutron ports without them. Otherwise gantryd's plugin net wires them."),
    cfg.BoolOpt("terminal", default=True,
                help="Give the process a terminal and keep its input open, so that consoles can be used."),
    cfg.StrOpt("metadata_prefix", default="NOVA_META_",
               help="The instance's metadata is in its environment, as names that begin so, in capitals. Empty: it is not."),
    cfg.StrOpt("user_data_path", default="/etc/nova/user_data",
               help="Where the instance finds its user data, as a file. Empty: only on a config drive."),
    cfg.StrOpt("config_drive_path", default="/mnt/config",
               help="Where the instance finds its config drive: a folder, read-only. Engines have to be on this host, and a policy has to "
                    "allow the mount of instances_path/UUID/config-drive."),
    cfg.StrOpt("volume_path", default="/mnt/volumes",
               help="Where the instance finds a volume that is a folder of this host, as VOLUME_PATH/vdb. One that is a block device is /dev/vdb. "
                    "Engines have to be on this host, and a policy has to allow what is in instances_path/UUID/volumes."),
    cfg.IntOpt("console_lines", default=1000, min=1, help="Lines of the log that the console log has."),
    cfg.BoolOpt("node_for_each_engine", default=False,
                help="Each of gantryd's nodes is a node of Nova's, NODE.HOST, and the scheduler chooses. Otherwise all are one, and gantryd does."),
    cfg.BoolOpt("request_labels", default=True,
                help="Ask Nova for scheduler hints and the metadata of this host's aggregates, and tell policies of them."),
    cfg.IntOpt("disk_gb", default=100, min=0, help="Disk to report to Placement."),
    cfg.StrOpt("flavor_disk", default="advisory", choices=["advisory", "refuse"],
               help="A flavor's disk cannot be enforced. advisory: Placement counts it, and policies see it as the label nova.disk_gb. refuse: an "
                    "instance of a flavor that has one is refused."),
]


def register(conf):
    conf.register_group(GROUP)
    conf.register_opts(OPTIONS, group=GROUP)
