"""The pages of the act watch: reports, features, rules, decisions, backtests, the audit chain, the agent."""
