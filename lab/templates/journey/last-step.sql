-- Who is at the last step today: one SELECT that returns `unit`.
SELECT [[ population.key | name ]] AS unit
FROM [[ population.table | name ]]
WHERE recency = 6
