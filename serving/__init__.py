"""The service: scan API, feedback, learner and database. ``bentoml serve serving.service:SafePickleService``."""
