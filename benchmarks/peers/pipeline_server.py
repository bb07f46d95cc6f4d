"""What one writes first: transformers' pipeline behind FastAPI, a request at a time.

    python -m benchmarks.peers.pipeline_server CHECKPOINT PORT THREADS

It is the peer of `gluetune serve` in benchmarks/serving.py and imports nothing of gluetune.
"""

from __future__ import annotations

import sys
import threading
from typing import Any


def main(checkpoint: str, port: int, threads: int) -> None:
    """Serve until killed."""
    import torch
    import uvicorn
    from fastapi import FastAPI
    from transformers import pipeline

    torch.set_num_threads(threads)
    ask = pipeline("text-classification", checkpoint, top_k=None, device="cpu")
    app = FastAPI()
    one_at_a_time = threading.Lock()

    @app.post("/predict")
    def predict(body: dict[str, Any]) -> Any:
        with one_at_a_time, torch.inference_mode():
            return ask(body["inputs"])

    @app.get("/health")
    def health() -> None:
        return None

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
