-- Who gets the mail, once it is scaled: one SELECT that returns `unit`.
SELECT [[ population.key ]] AS unit
FROM [[ population.table ]]
[% if population.has("recency") -%]
WHERE recency <= 12
[% endif -%]
