"""What an experiment costs, said before it is begun: `cost_report` of its file.

Arms, steps, generations and operations are counted, the latter on the real networks without their
weights; hours, memory and disk are estimates, and are marked as such.
"""

from experiments.cost.counts import Count
from experiments.cost.report import FLOAT32_THROUGHPUT, THROUGHPUT, Cost, Work, cost_report

__all__ = ["FLOAT32_THROUGHPUT", "THROUGHPUT", "Cost", "Count", "Work", "cost_report"]
