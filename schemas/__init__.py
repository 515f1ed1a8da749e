"""What crosses a wire: event schemas, the error catalogue, the registry."""
