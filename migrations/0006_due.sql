-- While a destination refuses what it gets, most of what waits for it is not due: whoever looks for what is finds it without
-- going through all of that. SQLite would go by this index where going in order is quicker, and is content with the others.

-- only PostgreSQL:
CREATE INDEX deliveries_due ON deliveries (destination, due_at) WHERE state = 'pending';
