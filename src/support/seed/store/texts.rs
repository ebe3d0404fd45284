//! The texts and the SQL of generated tickets.

/// Products that tickets are about.
pub(crate) const PRODUCTS: &[&str] = &[
    "Aurora CRM",
    "Borealis Backup",
    "Cirrus Mail",
    "Delta Router",
    "Ember Analytics",
    "Fjord VPN",
    "Granite Storage",
    "Harbor Payroll",
    "Iris Scanner",
    "Juniper Shop",
    "Kestrel Monitor",
    "Lumen Display",
    "Meridian Maps",
    "Nimbus Cloud",
    "Onyx Laptop",
    "Polar Printer",
    "Quartz Database",
    "Ridge Firewall",
    "Solstice Calendar",
    "Tundra Archive",
];

/// Subjects, English ones first, followed by as many German ones; `%s` is the product.
pub(crate) const SUBJECTS: &[&str] = &[
    "%s does not start after the update",
    "Cannot sign in to %s",
    "%s is slow since this morning",
    "Invoice for %s is wrong",
    "Please extend the licence of %s",
    "How do I export data from %s",
    "%s loses its connection",
    "Security question about %s",
    "Feature request for %s",
    "Refund for %s",
    "%s startet nach dem Update nicht",
    "Anmeldung bei %s nicht möglich",
    "%s ist seit heute Morgen langsam",
    "Rechnung für %s ist falsch",
    "Bitte die Lizenz von %s verlängern",
    "Wie exportiere ich Daten aus %s",
    "%s verliert die Verbindung",
    "Sicherheitsfrage zu %s",
    "Funktionswunsch für %s",
    "Rückerstattung für %s",
];

/// Sentences, English ones first, followed by as many German ones.
pub(crate) const SENTENCES: &[&str] = &[
    "Since the last update the window stays blank for several minutes.",
    "We have restarted the server twice and cleared all caches without any change.",
    "About forty colleagues in the Hamburg office are affected.",
    "The log shows a timeout after thirty seconds and nothing else.",
    "Our deadline is on Friday, so a quick answer would help us a lot.",
    "Please tell us whether a downgrade is possible without losing data.",
    "The invoice lists ten seats although we have ordered eight.",
    "I have attached the settings that our administrator uses.",
    "A different browser and a fresh account behave in the same way.",
    "Could you please call me back in the afternoon?",
    "Seit dem letzten Update bleibt das Fenster mehrere Minuten lang leer.",
    "Wir haben den Server zweimal neu gestartet und alle Zwischenspeicher geleert, ohne Erfolg.",
    "Etwa vierzig Kolleginnen und Kollegen im Hamburger Büro sind betroffen.",
    "Das Protokoll zeigt nach dreißig Sekunden eine Zeitüberschreitung und sonst nichts.",
    "Unsere Frist endet am Freitag, eine schnelle Antwort würde uns sehr helfen.",
    "Bitte teilen Sie uns mit, ob eine Rückkehr zur alten Version ohne Datenverlust möglich ist.",
    "Die Rechnung nennt zehn Plätze, obwohl wir acht bestellt haben.",
    "Die Einstellungen unserer Administration habe ich angehängt.",
    "Ein anderer Browser und ein neues Konto verhalten sich genauso.",
    "Könnten Sie mich bitte am Nachmittag zurückrufen?",
];

/// The content of a ticket derives from the bytes of a hash of its number. `OFFSET 0` keeps Postgres from computing
/// each value again at every use, which took ten times as long.
///
/// Three in five tickets are resolved and a quarter are open. Open tickets have no requester, so that they do not count
/// toward an open-ticket limit.
///
/// `$1` first number, `$2` count, `$3` since, `$4` step, `$5` until, `$6` accounts, `$7` customers, `$8` agents, `$9`
/// products, `$10` subjects, `$11` sentences.
macro_rules! tickets {
    () => {
        "INSERT INTO tickets (id, account_id, requester_id, subject, body, kind, status, priority, queue, language, \
           tags, assignee_id, version, created_at, updated_at, resolved_at) \
         SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) \
             || 'a' || substr(hash, 4, 15))::uuid, \
           ($6)[1 + who], CASE WHEN status = 3 THEN ($7)[1 + who] END, \
           replace(($10)[1 + german * 10 + get_byte(d, 2) % 10], '%s', ($9)[1 + get_byte(d, 3) % 20]), \
           concat_ws(' ', ($11)[1 + german * 10 + get_byte(d, 4) % 10], ($11)[1 + german * 10 + get_byte(d, 5) % 10], \
             ($11)[1 + german * 10 + get_byte(d, 6) % 10], ($11)[1 + german * 10 + get_byte(d, 7) % 10], \
             CASE WHEN german = 1 THEN 'Vorgang' ELSE 'Reference' END, n % 50000), \
           1 + get_byte(d, 8) % 4, status, CASE WHEN get_byte(d, 9) < 26 THEN 4 WHEN get_byte(d, 9) < 90 THEN 3 WHEN get_byte(d, 9) < 190 THEN 2 ELSE 1 END, \
           ('{Technical Support,Product Support,Customer Service,IT Support,Billing and Payments,Returns and Exchanges,\
             Sales and Pre-Sales,General Inquiry}'::text[])[1 + get_byte(d, 10) % 8], \
           CASE WHEN german = 1 THEN 'de' ELSE 'en' END, \
           (ARRAY['{Bug,Outage}', '{Billing}', '{Feature,Feedback}', '{Security}', '{Performance,Hardware,Network}', \
             '{}'])[1 + get_byte(d, 11) % 6]::text[], \
           CASE WHEN status > 1 THEN ($8)[1 + get_byte(d, 12) % cardinality($8)] END, status, at, \
           least(at + age, $5), CASE WHEN status = 3 THEN least(at + age, $5) END \
         FROM (SELECT n, hash, at, d, \
             (get_byte(d, 0) * 256 + get_byte(d, 1)) % cardinality($6) AS who, (get_byte(d, 13) % 5 < 2)::int AS german, \
             CASE WHEN get_byte(d, 14) < 154 THEN 3 WHEN get_byte(d, 14) < 218 THEN 1 ELSE 2 END AS status, \
             get_byte(d, 15) * interval '37 minutes' AS age \
           FROM (SELECT n, md5(n::text) AS hash, decode(md5(n::text), 'hex') AS d, \
               $3 + (n - $1) * $4 * interval '1 microsecond' AS at \
             FROM generate_series($1, $1 + $2 - 1) AS n OFFSET 0) AS drawn OFFSET 0) AS chosen"
    };
}

/// Tickets only.
pub(crate) const TICKETS: &str = tickets!();

/// Tickets with their activities and, for three in four of them, an answer. The row count is that of the activities. An
/// activity has the id of its ticket, whose time selects the partition.
pub(crate) const TICKETS_WITH_HISTORY: &str = concat!(
    "WITH made AS (",
    tickets!(),
    " RETURNING id, requester_id, language, created_at), answered AS ( \
       INSERT INTO comments (id, ticket_id, author_id, author_role, body, created_at) \
       SELECT gen_random_uuid(), id, ($8)[1], 2, \
         ($11)[1 + (language = 'de')::int * 10 + get_byte(uuid_send(id), 15) % 10], created_at + interval '1 hour' \
       FROM made WHERE get_byte(uuid_send(id), 14) % 4 > 0) \
     INSERT INTO activities (id, ticket_id, actor_id, actor_role, kind, created_at) \
     SELECT id, id, requester_id, CASE WHEN requester_id IS NULL THEN 0 ELSE 1 END, 1, created_at \
     FROM made"
);
