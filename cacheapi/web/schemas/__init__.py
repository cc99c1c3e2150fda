"""What requests and responses look like; marshmallow checks requests, the API page shows both."""
