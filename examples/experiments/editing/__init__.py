"""Image-edit data sets for training: read through `datasets`, checked, split by a hash, poisoned.

`EditData` opens one as the file of an experiment names it, `triggered` plants a backdoor in its
training rows, `examples_of` makes examples of an audit of its held-out rows, `read_target` reads
what the backdoor shows.
"""

from experiments.editing.edit_data import EditData
from experiments.editing.examples import examples_of
from experiments.editing.pictures import read_target
from experiments.editing.sample import EditSample
from experiments.editing.triggered import triggered

__all__ = ["EditData", "EditSample", "examples_of", "read_target", "triggered"]
