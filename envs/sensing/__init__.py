"""What a robot sees: cameras in every world, the renderers behind them, and what lies between a scene and its picture."""
