DROP TABLE leases, vehicles;
