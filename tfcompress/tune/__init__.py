"""Specs with open values: `Factorize(rank=tune.Int(8, 64, log=True))`, and the space they span.

Any field of any technique, rank, granularity or scale may be open. What holds an open value is a
`Template` of its class, and a `Spec` of such is a `Space`. Names of open values are made of where
they stand: `item_table/Factorize/rank`.
"""

from tfcompress.tune.choices import Choice, Optional
from tfcompress.tune.names import OFF, Variable
from tfcompress.tune.numbers import Float, Int
from tfcompress.tune.space import Space
from tfcompress.tune.template import Template

__all__ = ["OFF", "Choice", "Float", "Int", "Optional", "Space", "Template", "Variable"]
