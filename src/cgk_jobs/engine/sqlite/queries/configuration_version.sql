SELECT version FROM configuration
