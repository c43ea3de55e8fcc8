"""The table of values, its file, what produced it, and a figure with its interval."""

from modcollapse.table._estimate import ALL_EQUAL as ALL_EQUAL
from modcollapse.table._estimate import OK as OK
from modcollapse.table._estimate import TOO_FEW as TOO_FEW
from modcollapse.table._estimate import (
    Estimate,
    decimals,
    estimate_label,
    interval_text,
    number_text,
    sample_size,
    value_text,
)
from modcollapse.table._file import sync_folder as sync_folder
from modcollapse.table._file import write_whole as write_whole
from modcollapse.table._journal_file import HEADER_FILE as HEADER_FILE
from modcollapse.table._journal_file import KEPT_FOLDER as KEPT_FOLDER
from modcollapse.table._journal_file import LOCK_FILE as LOCK_FILE
from modcollapse.table._journal_file import OF_EACH as OF_EACH
from modcollapse.table._journal_file import Finished as Finished
from modcollapse.table._journal_file import JournalContent as JournalContent
from modcollapse.table._journal_file import (
    JournalWarning,
    load,
)
from modcollapse.table._journal_file import Taken as Taken
from modcollapse.table._journal_file import header_line as header_line
from modcollapse.table._journal_file import is_journal as is_journal
from modcollapse.table._journal_file import journal_line as journal_line
from modcollapse.table._journal_file import kept_folder as kept_folder
from modcollapse.table._journal_file import read_journal as read_journal
from modcollapse.table._journal_file import write_header as write_header
from modcollapse.table._json_lines import beginning as beginning
from modcollapse.table._json_lines import entry_of as entry_of
from modcollapse.table._json_lines import line_of as line_of
from modcollapse.table._kept import Kept
from modcollapse.table._kept_files import drop_kept as drop_kept
from modcollapse.table._kept_files import is_kept_there as is_kept_there
from modcollapse.table._kept_files import kept_name as kept_name
from modcollapse.table._kept_files import read_all_kept as read_all_kept
from modcollapse.table._kept_files import read_kept as read_kept
from modcollapse.table._kept_files import write_all_kept as write_all_kept
from modcollapse.table._kept_files import write_kept as write_kept
from modcollapse.table._kept_values import slug as slug
from modcollapse.table._neutral_values import OTHER_ROWS as OTHER_ROWS
from modcollapse.table._neutral_values import NeutralValues
from modcollapse.table._provenance import Pairing as Pairing
from modcollapse.table._provenance import check_paired as check_paired
from modcollapse.table._provenance import differences as differences
from modcollapse.table._table import ROUNDING as ROUNDING
from modcollapse.table._table import CoalitionTable
from modcollapse.table._table import cluster_labels as cluster_labels
from modcollapse.table._table import plain_id as plain_id

__all__ = [
    "CoalitionTable",
    "Estimate",
    "JournalWarning",
    "Kept",
    "NeutralValues",
    "decimals",
    "estimate_label",
    "interval_text",
    "load",
    "number_text",
    "sample_size",
    "value_text",
]
