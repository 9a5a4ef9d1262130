"""Code that runs in Lambda functions defined by ak_constructs. Standard library and boto3 only."""
