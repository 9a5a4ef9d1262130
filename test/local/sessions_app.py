"""An app with the table that the tests keep conversations in."""

import aws_cdk as cdk

from ak_constructs import SessionStore

app = cdk.App()
stack = cdk.Stack(app, "Sessions")
store = SessionStore(stack, "Sessions")
if store.table is not None:
    cdk.CfnOutput(stack, "TableName", value=store.table.table_name)
app.synth()
