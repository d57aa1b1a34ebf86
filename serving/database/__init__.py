"""The service's database: an append-only event log and the tables read from it."""
