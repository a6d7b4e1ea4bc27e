-- Who is at the last step today: one SELECT that returns `unit`.
SELECT [[ population.key ]] AS unit
FROM [[ population.table ]]
WHERE recency = 6
