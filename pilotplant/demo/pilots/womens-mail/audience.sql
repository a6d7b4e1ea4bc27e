-- Customers who bought within the last nine months.
SELECT customer_id AS unit
FROM customers
WHERE recency <= 9
