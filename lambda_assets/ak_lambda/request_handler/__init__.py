"""Takes requests in, waits for answers, and tells who asks again."""
