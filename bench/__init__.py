"""The benchmarks: each figure beside a yardstick from the same run."""
