"""The control plane: brands, integrations, games, rates, the operator's own commands. Each change is a recorded act."""
