"""The experiments of the paper and what goes beyond it: training, arms, results, scripts."""
