DROP TABLE account_providers;
