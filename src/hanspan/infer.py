"""Inference: the Extractor, and the stage that runs it over files."""

from hanspan.extractor import Extractor
from hanspan.predict import PredictSummary, predict

__all__ = ["Extractor", "PredictSummary", "predict"]
