"""The pages of the act release: model versions, two against each other, Bentos, deployments."""
