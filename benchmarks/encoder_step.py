"""How long an encoder takes for one image on one core, in ONNX Runtime as on a robot, for each size.

    python -m benchmarks.encoder_step

prints a Markdown table: the median and the 99th percentile of the processor's time of 200 images [ms], which holds on a computer that
others use too, and the share of the 100 ms that a policy at 10 Hz has.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from policies.encoders.shape import SIZES, named
from policies.export.encoder import export_encoder
from policies.networks.vit import VitEncoder, count

SIDES, PICTURES, WARM = (64, 224), 200, 10
PERIOD_MS = 100.0


def main() -> None:
    """Measure."""
    print("| size | images | parameters | median, ms | 99 %, ms | of 10 Hz |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            for side in SIDES:
                net = VitEncoder(named(size, side, side, readout="grid")).eval()
                pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, side, side, 3), dtype=np.uint8)
                file = export_encoder(net, {"licence": "LicenseRef-own"}, pictures[:1], Path(folder) / "e.onnx")
                times = []
                for index in range(WARM + PICTURES):
                    start = time.process_time()
                    file.encode(pictures[index % PICTURES][None])
                    times.append(1e3 * (time.process_time() - start))
                middle, late = np.percentile(times[WARM:], (50, 99))
                share = f"{100 * middle / PERIOD_MS:.1f} %"
                print(f"| {size} | {side} x {side} | {count(net) / 1e6:.1f} M | {middle:.1f} | {late:.1f} | {share} |", flush=True)


if __name__ == "__main__":
    main()
