"""Complete applications that use the package as anybody would."""
