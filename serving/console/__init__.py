"""The analysts' console: server-rendered pages over what the service stores."""
