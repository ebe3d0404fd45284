DROP TABLE mail_suppressions, mails;
