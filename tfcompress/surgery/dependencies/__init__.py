"""Which channels of a model's layers can only be removed together, and removing them.

The idea is that of DepGraph (Fang et al., CVPR 2023), told with names instead of rules: every
channel of every tensor carries the name of the unit that it belongs to, and what a layer does to
channels it does to the names. Adding two tensors makes one unit of two, flattening repeats the
names, concatenating puts them in a row. A cut is a set of names; every axis of every weight knows
the names of its entries, so that it knows which of them go.
"""

from tfcompress.surgery.dependencies.follow import EVERY_KIND, trace
from tfcompress.surgery.dependencies.groups import Group, Member, Scales, groups_of, units_of
from tfcompress.surgery.dependencies.kinds import (
    Axis,
    Kind,
    attribute,
    fixed,
    looks_up,
    maps,
    owner,
)
from tfcompress.surgery.dependencies.rebuild import Cuts
from tfcompress.surgery.dependencies.trace import Trace
from tfcompress.surgery.dependencies.units import Labels, Units

__all__ = [
    "EVERY_KIND",
    "Axis",
    "Cuts",
    "Group",
    "Kind",
    "Labels",
    "Member",
    "Scales",
    "Trace",
    "Units",
    "attribute",
    "fixed",
    "groups_of",
    "looks_up",
    "maps",
    "owner",
    "trace",
    "units_of",
]
