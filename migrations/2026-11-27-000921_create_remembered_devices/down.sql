DROP TABLE remembered_devices;
