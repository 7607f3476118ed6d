"""Finding where a policy fails, and teaching it there: `robolearn improve`, see docs/improving.md."""
