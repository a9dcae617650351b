"""The sill every layer stands on: errors, commands, events, store, plugins, ids, clock."""
