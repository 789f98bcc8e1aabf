"""What a team asks of a challenger before it becomes champion."""

from typing import Annotated, Literal

from pydantic import Field

from ulmfit.config import Positive, Stage

Points = Annotated[float, Field(ge=0.0, lt=1.0)]
Factor = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class GatePolicy(Stage):
    """Accuracies, margins and calibration errors are shares of 1: 0.02 is 2 points."""

    mode: Literal["better", "not-worse"] = Field("better", description="what must be shown of the challenger's accuracy")
    alpha: float = Field(0.05, gt=0.0, lt=0.5, description="chance of any wrong promotion over all cycles together")
    margin: float = Field(0.02, gt=0.0, lt=1.0, description="accuracy that may be lost in the mode not-worse")
    slice_margin: Points = Field(0.05, description="accuracy that may be lost on a slice")
    min_slice_rows: Positive = Field(50, le=10**9, description="smaller slices are not judged")
    min_rows: Positive = Field(200, le=10**9, description="held-out rows, at least")
    max_calibration_worsening: Points = Field(0.03, description="how much the expected calibration error may rise")
    max_latency_factor: Factor | None = Field(2.0, description="seconds of a text, challenger to champion; null: not compared")
    max_size_factor: Factor | None = Field(2.0, description="size of the model, challenger to champion; null: not compared")

    @property
    def allowed_loss(self) -> float:
        """The accuracy that a challenger may lose, in [0, 1[."""
        return self.margin if self.mode == "not-worse" else 0.0
