"""Images: fetched from the provider, stored in the bucket, served by presigned URLs."""
