"""What decides: the policy contract, the networks, the policy file and the trained policies.

Imported before anything else of ours, and before ONNX Runtime, which this package alone imports: from version 1.29 on that starts
telemetry as soon as it is imported (threads, name look-ups, connections, a device's identity in the home folder), unless a variable of
the environment forbids it. A robot's computer has no use for that. A value that the user has set wins.
"""

import os
import sys
import warnings

if "onnxruntime" in sys.modules and "ORT_DISABLE_TELEMETRY" not in os.environ:
    warnings.warn(
        "onnxruntime was imported before policies, so its telemetry may run: import policies first, or set ORT_DISABLE_TELEMETRY=1",
        stacklevel=2,
    )
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
