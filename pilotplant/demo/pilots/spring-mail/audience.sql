-- Everybody in the table: those that the pilot is tried on.
SELECT customer_id AS unit
FROM customers
