"""``make bench``: every benchmark, each side by side with what it is measured against."""

from __future__ import annotations

import bench_data
import bench_deployment
import bench_frames
import bench_gate
import bench_guide
import bench_import
import bench_live
import bench_local
import bench_memory
import bench_node
import bench_payload
import bench_regression
import bench_secure
import bench_simulation
import bench_sql


def main() -> None:
    """Run them all."""
    for benchmark in (
        bench_frames,
        bench_local,
        bench_live,
        bench_guide,
        bench_import,
        bench_payload,
        bench_data,
        bench_sql,
        bench_memory,
        bench_gate,
        bench_regression,
        bench_secure,
        bench_simulation,
        bench_deployment,
        bench_node,
    ):
        benchmark.main()
        print()


if __name__ == "__main__":
    main()
