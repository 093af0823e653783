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
    cfg.IntOpt("operation_timeout", default=900, min=1, max=3600,
               help="Seconds that a start, with the pull of its image, a stop or a snapshot may take."),
    cfg.StrOpt("network", default="none",
               help="Network of the engine that instances get: none, bridge or the name of one. Neutron's ports are not wired."),
    cfg.BoolOpt("ignore_ports", default=False,
                help="Start instances that have Neutron ports all the same, without them. Otherwise they are refused."),
    cfg.BoolOpt("terminal", default=True,
                help="Give the process a terminal and keep its input open, so that consoles can be used."),
    cfg.IntOpt("console_lines", default=1000, min=1, help="Lines of the log that the console log has."),
    cfg.IntOpt("disk_gb", default=100, min=0, help="Disk to report to Placement. Flavors' disks are not enforced."),
]


def register(conf):
    conf.register_group(GROUP)
    conf.register_opts(OPTIONS, group=GROUP)


def list_opts():
    return [(GROUP, OPTIONS)]
