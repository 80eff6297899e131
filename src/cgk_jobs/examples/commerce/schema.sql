-- One tenant's database. Amounts are integers in the minor unit of `currency`; moments are microseconds since 1970 UTC
-- in columns that end in _at; days are ISO dates in columns that end in _on.

-- Orders

-- Every amount that an order brought in or gave back, once: revenue is their sum. `reference` tells several of a kind
-- apart, as an order may be refunded repeatedly.
CREATE TABLE IF NOT EXISTS orders (
    order_id     TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('created', 'cancelled', 'refunded', 'adjusted')),
    reference    TEXT NOT NULL DEFAULT '',
    customer_id  TEXT,
    amount_cents INTEGER NOT NULL,
    currency     TEXT NOT NULL,
    booked_at    INTEGER NOT NULL,
    PRIMARY KEY (order_id, kind, reference)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_by_time ON orders (booked_at);

CREATE TABLE IF NOT EXISTS customers (
    customer_id   TEXT PRIMARY KEY,
    email         TEXT,
    phone         TEXT,
    sms_consent   INTEGER NOT NULL DEFAULT 0,
    order_count   INTEGER NOT NULL DEFAULT 0,
    ordered_cents INTEGER NOT NULL DEFAULT 0,
    last_order_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS customers_by_phone ON customers (phone) WHERE phone IS NOT NULL;

CREATE TABLE IF NOT EXISTS fulfilments (
    fulfillment_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, tracking_number TEXT, shipped_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS fulfilments_by_order ON fulfilments (order_id);

CREATE TABLE IF NOT EXISTS stock (
    variant_id TEXT NOT NULL, location_id TEXT NOT NULL, quantity INTEGER NOT NULL, counted_at INTEGER NOT NULL,
    PRIMARY KEY (variant_id, location_id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Attribution and figures

CREATE TABLE IF NOT EXISTS touchpoints (
    touchpoint_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, channel TEXT NOT NULL, touched_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS touchpoints_by_customer ON touchpoints (customer_id, touched_at);

CREATE TABLE IF NOT EXISTS order_credits (
    order_id TEXT NOT NULL, model TEXT NOT NULL, channel TEXT NOT NULL, basis_points INTEGER NOT NULL,
    PRIMARY KEY (order_id, model, channel)
) WITHOUT ROWID;
-- Orders that no channel is known for yet; after the last try they are credited to 'direct' and leave.
CREATE TABLE IF NOT EXISTS unattributed (order_id TEXT PRIMARY KEY, tries INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS exports (
    export_id TEXT PRIMARY KEY, format TEXT NOT NULL CHECK (format IN ('csv', 'json')), asked_at INTEGER NOT NULL,
    body TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS exports_asked ON exports (asked_at) WHERE body IS NULL;

CREATE TABLE IF NOT EXISTS attribution_days (
    day_on TEXT NOT NULL, channel TEXT NOT NULL, orders INTEGER NOT NULL, revenue_cents INTEGER NOT NULL,
    PRIMARY KEY (day_on, channel)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metric_hours (
    hour_at INTEGER PRIMARY KEY, orders INTEGER NOT NULL, revenue_cents INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS metric_days (
    day_on TEXT PRIMARY KEY, orders INTEGER NOT NULL, revenue_cents INTEGER NOT NULL, refunds_cents INTEGER NOT NULL,
    customers INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metric_weeks (
    week_on TEXT PRIMARY KEY, orders INTEGER NOT NULL, revenue_cents INTEGER NOT NULL, before_cents INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS customer_scores (
    customer_id TEXT PRIMARY KEY, recency INTEGER NOT NULL, frequency INTEGER NOT NULL, monetary INTEGER NOT NULL,
    scored_on TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digests (
    kind TEXT NOT NULL, day_on TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, day_on)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (
    alert_id TEXT PRIMARY KEY, severity TEXT NOT NULL, title TEXT NOT NULL, message TEXT NOT NULL,
    raised_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Experiments

CREATE TABLE IF NOT EXISTS ab_tests (
    test_id TEXT PRIMARY KEY, name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'running', 'ended')),
    starts_at INTEGER, ends_at INTEGER, winner TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ab_variants (
    test_id TEXT NOT NULL, variant TEXT NOT NULL, weight INTEGER NOT NULL, PRIMARY KEY (test_id, variant)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ab_orders (
    order_id TEXT NOT NULL, test_id TEXT NOT NULL, variant TEXT NOT NULL, amount_cents INTEGER NOT NULL,
    assigned_at INTEGER NOT NULL,
    PRIMARY KEY (order_id, test_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ab_orders_by_time ON ab_orders (assigned_at);
CREATE TABLE IF NOT EXISTS ab_exclusions (order_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ab_metrics (
    test_id TEXT NOT NULL, variant TEXT NOT NULL, day_on TEXT NOT NULL, orders INTEGER NOT NULL,
    revenue_cents INTEGER NOT NULL,
    PRIMARY KEY (test_id, variant, day_on)
) WITHOUT ROWID;

-- Creators and money out

CREATE TABLE IF NOT EXISTS creators (
    creator_id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, country TEXT NOT NULL DEFAULT 'US',
    stripe_account TEXT, wise_recipient TEXT, currency TEXT NOT NULL DEFAULT 'USD',
    state TEXT NOT NULL DEFAULT 'applied', set_up INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS referrals (
    customer_id TEXT PRIMARY KEY, creator_id TEXT NOT NULL, basis_points INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commissions (
    order_id TEXT PRIMARY KEY, creator_id TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'matured', 'reversed')),
    earned_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS commissions_pending ON commissions (earned_at) WHERE state = 'pending';
-- What a creator is owed is the sum of the entries; the entry's id says what it is for, so nothing is booked twice.
CREATE TABLE IF NOT EXISTS creator_entries (
    entry_id TEXT PRIMARY KEY, creator_id TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    booked_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS creator_entries_by_creator ON creator_entries (creator_id, booked_at, amount_cents);
CREATE INDEX IF NOT EXISTS creator_entries_by_time ON creator_entries (booked_at);
CREATE TABLE IF NOT EXISTS payouts (
    payout_id TEXT PRIMARY KEY, creator_id TEXT NOT NULL, amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    currency TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'requested'
        CHECK (state IN ('requested', 'approved', 'sent', 'completed', 'failed', 'manual_review')),
    provider TEXT, transfer_id TEXT UNIQUE, requested_at INTEGER NOT NULL, completed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS payouts_by_state ON payouts (state, provider);
CREATE TABLE IF NOT EXISTS expenses (
    reference TEXT PRIMARY KEY, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL, spent_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS profit_months (
    month_on TEXT PRIMARY KEY, revenue_cents INTEGER NOT NULL, expenses_cents INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS accounts (
    account TEXT PRIMARY KEY, balance_cents INTEGER NOT NULL, threshold_cents INTEGER NOT NULL, currency TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topups (
    topup_id TEXT PRIMARY KEY, account TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS topups_pending ON topups (topup_id) WHERE state = 'pending';
-- `recipient` is written before the vendor is asked: a transfer whose answer was lost is asked for again as it was.
CREATE TABLE IF NOT EXISTS draw_requests (
    request_id TEXT PRIMARY KEY, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'requested'
        CHECK (state IN ('requested', 'approved', 'rejected', 'sending', 'sent', 'failed')),
    transfer_id TEXT UNIQUE, recipient TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS draw_requests_by_state ON draw_requests (state);

-- Messages out

CREATE TABLE IF NOT EXISTS mails (
    mail_id TEXT PRIMARY KEY, kind TEXT NOT NULL, recipient TEXT NOT NULL, template TEXT NOT NULL,
    reference TEXT NOT NULL, due_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'awaiting', 'sent', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL DEFAULT 0, sent_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mails_due ON mails (kind, due_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS mails_held_back ON mails (kind, due_at) WHERE state = 'awaiting';
CREATE INDEX IF NOT EXISTS mails_sent ON mails (kind, sent_at) WHERE state = 'sent';
CREATE TABLE IF NOT EXISTS texts (
    text_id TEXT PRIMARY KEY, recipient TEXT NOT NULL, body TEXT NOT NULL, due_at INTEGER NOT NULL,
    transactional INTEGER NOT NULL DEFAULT 0, any_hour INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed', 'refused')),
    attempts INTEGER NOT NULL DEFAULT 0, tried_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS texts_due ON texts (due_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS texts_tried ON texts (state, tried_at) WHERE tried_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS deliveries (
    delivery_id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body TEXT NOT NULL, due_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS inbound_events (
    event_id TEXT PRIMARY KEY, topic TEXT NOT NULL, received_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Reviews and surveys

CREATE TABLE IF NOT EXISTS reviews (
    review_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, rating INTEGER NOT NULL, written_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reviews_by_order ON reviews (order_id);
CREATE TABLE IF NOT EXISTS review_mail_days (
    day_on TEXT PRIMARY KEY, sent INTEGER NOT NULL DEFAULT 0, reviewed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS survey_answers (
    response_id TEXT PRIMARY KEY, survey_id TEXT NOT NULL, order_id TEXT, score INTEGER, channel TEXT,
    answered_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Carts, gift cards, subscriptions

CREATE TABLE IF NOT EXISTS checkouts (
    checkout_id TEXT PRIMARY KEY, email TEXT NOT NULL, total_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    touched_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'abandoned', 'completed', 'expired'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS checkouts_idle ON checkouts (state, touched_at);
CREATE TABLE IF NOT EXISTS gift_cards (
    card_id TEXT PRIMARY KEY, order_id TEXT, email TEXT NOT NULL, balance_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    expires_on TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'granted' CHECK (state IN ('granted', 'credited', 'failed')),
    warned INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS gift_cards_expiring ON gift_cards (expires_on) WHERE warned = 0;
CREATE TABLE IF NOT EXISTS subscriptions (
    subscription_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    interval_days INTEGER NOT NULL DEFAULT 30 CHECK (interval_days > 0), next_billing_on TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'past_due', 'cancelled'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS subscriptions_by_billing ON subscriptions (state, next_billing_on);
-- Periods that the vendor was asked to charge and has not answered for: asked again, they must be the same to the cent.
CREATE TABLE IF NOT EXISTS open_periods (
    subscription_id TEXT NOT NULL, period_start_on TEXT NOT NULL, period_end_on TEXT NOT NULL,
    customer_id TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    PRIMARY KEY (subscription_id, period_start_on)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS billings (
    subscription_id TEXT NOT NULL, period_start_on TEXT NOT NULL, period_end_on TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, currency TEXT NOT NULL, charge_id TEXT NOT NULL UNIQUE, charged_at INTEGER NOT NULL,
    PRIMARY KEY (subscription_id, period_start_on, period_end_on)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscription_days (
    day_on TEXT PRIMARY KEY, active INTEGER NOT NULL, past_due INTEGER NOT NULL, cancelled INTEGER NOT NULL,
    monthly_cents INTEGER NOT NULL
) WITHOUT ROWID;

-- ---------------------------------------------------------------------------------------------------------------------
-- Operations: creators' projects, documents to sign, webhooks, rules, agents, the library, the installation itself
-- ---------------------------------------------------------------------------------------------------------------------

-- The application to become a creator; one that was begun and not handed in stays 'started'.
CREATE TABLE IF NOT EXISTS applications (
    application_id TEXT PRIMARY KEY, creator_id TEXT, email TEXT NOT NULL, phone TEXT,
    sms_consent INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'started' CHECK (state IN ('started', 'submitted', 'approved', 'rejected')),
    touched_at INTEGER NOT NULL, texted_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS applications_idle ON applications (touched_at) WHERE state = 'started';
CREATE TABLE IF NOT EXISTS application_steps (
    creator_id TEXT NOT NULL, step TEXT NOT NULL, reached_at INTEGER NOT NULL, PRIMARY KEY (creator_id, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recruiting_pipeline (
    creator_id TEXT PRIMARY KEY,
    stage TEXT NOT NULL CHECK (stage IN ('applied', 'approved', 'rejected')), entered_at INTEGER NOT NULL
) WITHOUT ROWID;
-- What a creator did and was told after the approval; null where it has not happened.
CREATE TABLE IF NOT EXISTS creator_progress (
    creator_id TEXT PRIMARY KEY, approved_at INTEGER, logged_in_at INTEGER, call_booked_at INTEGER,
    written_to_at INTEGER, answered_at INTEGER, tax_form_on TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS creator_days (
    day_on TEXT NOT NULL, creator_id TEXT NOT NULL, orders INTEGER NOT NULL, earned_cents INTEGER NOT NULL,
    mails INTEGER NOT NULL,
    PRIMARY KEY (day_on, creator_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS commissions_by_time ON commissions (earned_at);
CREATE INDEX IF NOT EXISTS mails_failed ON mails (kind, attempts) WHERE state = 'failed';
CREATE INDEX IF NOT EXISTS mails_unsent ON mails (kind, reference) WHERE state IN ('pending', 'awaiting', 'failed');
CREATE INDEX IF NOT EXISTS mails_to_creators ON mails (sent_at) WHERE kind = 'creator' AND state = 'sent';
CREATE TABLE IF NOT EXISTS projects (
    project_id TEXT PRIMARY KEY, creator_id TEXT NOT NULL, order_id TEXT,
    state TEXT NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'shipped', 'in_progress', 'overdue', 'submitted', 'approved', 'cancelled')),
    state_at INTEGER NOT NULL, deadline_on TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS projects_by_state ON projects (state, deadline_on);
CREATE INDEX IF NOT EXISTS projects_by_order ON projects (order_id) WHERE order_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS parcels (
    parcel_id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('product', 'sample')), creator_id TEXT NOT NULL,
    project_id TEXT, tracking_number TEXT,
    state TEXT NOT NULL DEFAULT 'shipped' CHECK (state IN ('shipped', 'delivered', 'lost')),
    shipped_at INTEGER NOT NULL, delivered_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parcels_underway ON parcels (kind, shipped_at) WHERE state = 'shipped';
CREATE INDEX IF NOT EXISTS parcels_delivered ON parcels (delivered_at) WHERE state = 'delivered';
CREATE INDEX IF NOT EXISTS parcels_by_project ON parcels (project_id) WHERE project_id IS NOT NULL;

-- A message or document for many recipients, sent piece by piece.
CREATE TABLE IF NOT EXISTS bulk_sends (
    bulk_send_id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('creator', 'esign')), template TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'scheduled', 'sending', 'sent', 'cancelled')),
    starts_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bulk_sends_due ON bulk_sends (kind, starts_at) WHERE state = 'scheduled';
CREATE TABLE IF NOT EXISTS bulk_recipients (
    bulk_send_id TEXT NOT NULL, recipient TEXT NOT NULL, sent_at INTEGER, PRIMARY KEY (bulk_send_id, recipient)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sign_documents (
    document_id TEXT PRIMARY KEY, title TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'signed', 'expired', 'withdrawn')),
    sent_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sign_documents_open ON sign_documents (expires_at) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS signers (
    document_id TEXT NOT NULL, email TEXT NOT NULL, signed_at INTEGER, reminded_at INTEGER,
    PRIMARY KEY (document_id, email)
) WITHOUT ROWID;
-- As deliveries, for the callbacks of documents, which are repeated on a schedule of their own.
CREATE TABLE IF NOT EXISTS sign_callbacks (
    delivery_id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, body TEXT NOT NULL, due_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sign_callbacks_due ON sign_callbacks (due_at) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS webhook_subscribers (
    endpoint TEXT NOT NULL, topic TEXT NOT NULL, PRIMARY KEY (topic, endpoint)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbound_bodies (event_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS inbound_waiting ON inbound_events (received_at) WHERE state IN ('pending', 'failed');
CREATE INDEX IF NOT EXISTS deliveries_settled ON deliveries (due_at) WHERE state = 'delivered';

CREATE TABLE IF NOT EXISTS survey_replies (
    response_id TEXT NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (response_id, question)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS survey_answers_by_time ON survey_answers (answered_at);

-- Rules: when an entity changes, or stays in a state for so long, do something.
CREATE TABLE IF NOT EXISTS rules (
    workflow_id TEXT PRIMARY KEY, entity_type TEXT NOT NULL, active INTEGER NOT NULL DEFAULT 1,
    in_state TEXT, after_hours INTEGER, delay_seconds INTEGER NOT NULL DEFAULT 0,
    action_type TEXT NOT NULL, target TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rule_executions (
    execution_id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, entity_type TEXT NOT NULL, entity_id TEXT NOT NULL,
    fired_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rule_executions_by_time ON rule_executions (fired_at);
CREATE TABLE IF NOT EXISTS rule_actions (
    action_id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, action_type TEXT NOT NULL, target TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'refused'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rule_actions_due ON rule_actions (due_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS rule_actions_by_execution ON rule_actions (execution_id);
CREATE TABLE IF NOT EXISTS threads (
    thread_id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('inbox', 'snoozed', 'closed')),
    snoozed_until_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS threads_snoozed ON threads (snoozed_until_at) WHERE state = 'snoozed';

-- Assistants. Weights and confidences are thousandths.
CREATE TABLE IF NOT EXISTS agent_memories (
    memory_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, weight INTEGER NOT NULL DEFAULT 1000,
    confidence INTEGER NOT NULL DEFAULT 1000, used_at INTEGER NOT NULL, decayed_on TEXT NOT NULL DEFAULT '',
    enabled INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_context (
    entry_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, tokens INTEGER NOT NULL, added_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_familiarity (
    member TEXT NOT NULL, other TEXT NOT NULL, familiarity INTEGER NOT NULL, met_at INTEGER NOT NULL,
    decayed_on TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (member, other)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_handoffs (
    handoff_id TEXT PRIMARY KEY, finished_at INTEGER, archived INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_approvals (
    approval_id TEXT PRIMARY KEY, asked_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'granted', 'denied', 'expired'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agent_approvals_pending ON agent_approvals (asked_at) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS agent_actions (
    action_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, acted_at INTEGER NOT NULL, archived INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agent_actions_kept ON agent_actions (acted_at) WHERE archived = 0;
CREATE TABLE IF NOT EXISTS agent_conversations (
    conversation_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, spoken_at INTEGER NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_stats (
    agent_id TEXT PRIMARY KEY, actions INTEGER NOT NULL, last_acted_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_feedback (
    feedback_id TEXT PRIMARY KEY, memory_id TEXT NOT NULL, helpful INTEGER NOT NULL, given_at INTEGER NOT NULL,
    read INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agent_feedback_unread ON agent_feedback (given_at) WHERE read = 0;
CREATE TABLE IF NOT EXISTS calls (
    call_id TEXT PRIMARY KEY, started_at INTEGER NOT NULL, seconds INTEGER NOT NULL, recording TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (started_at);
CREATE TABLE IF NOT EXISTS voice_days (
    day_on TEXT PRIMARY KEY, seconds INTEGER NOT NULL, cost_cents INTEGER NOT NULL, currency TEXT NOT NULL
) WITHOUT ROWID;

-- The asset library, videos, the brand's material, the web site
CREATE TABLE IF NOT EXISTS project_files (
    file_id TEXT PRIMARY KEY, project_id TEXT NOT NULL, kind TEXT NOT NULL, added_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS assets (
    asset_id TEXT PRIMARY KEY, project_id TEXT, kind TEXT NOT NULL CHECK (kind IN ('image', 'video', 'document')),
    added_at INTEGER NOT NULL, faces_asked_at INTEGER, rights_end_on TEXT,
    rights TEXT NOT NULL DEFAULT 'granted' CHECK (rights IN ('granted', 'expired'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS assets_by_rights ON assets (rights_end_on) WHERE rights = 'granted';
CREATE INDEX IF NOT EXISTS assets_unscanned ON assets (added_at) WHERE kind = 'image' AND faces_asked_at IS NULL;
CREATE TABLE IF NOT EXISTS videos (
    video_id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('uploaded', 'transcribing', 'ready', 'failed')),
    asked_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS videos_transcribing ON videos (asked_at) WHERE state = 'transcribing';
CREATE TABLE IF NOT EXISTS brand_documents (
    document_id TEXT PRIMARY KEY, touched_at INTEGER NOT NULL, stale INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS brand_cache (entry TEXT PRIMARY KEY, stored_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS redirects (
    path TEXT PRIMARY KEY, target TEXT NOT NULL, made_at INTEGER NOT NULL, used_at INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feed_rebuilds (asked_at INTEGER PRIMARY KEY);

-- Credentials of connected services, rows that operations leave behind, and what probes found
CREATE TABLE IF NOT EXISTS connections (
    service TEXT PRIMARY KEY, account TEXT NOT NULL, secret TEXT NOT NULL, connected_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_lines (
    line_id TEXT PRIMARY KEY, level TEXT NOT NULL CHECK (level IN ('debug', 'info', 'warning', 'error')),
    text TEXT NOT NULL, logged_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS log_lines_by_level ON log_lines (level, logged_at);
CREATE TABLE IF NOT EXISTS stale_rows (
    row_id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('session', 'cache', 'temp')), made_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stale_rows_by_kind ON stale_rows (kind, made_at);
CREATE TABLE IF NOT EXISTS on_call (
    phone TEXT PRIMARY KEY, name TEXT NOT NULL, sms_consent INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Only in the installation's own database
CREATE TABLE IF NOT EXISTS organizations (
    tenant_id TEXT PRIMARY KEY, enrolled_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS health (
    subject TEXT NOT NULL, service TEXT NOT NULL, healthy INTEGER NOT NULL, detail TEXT NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (subject, service)
) WITHOUT ROWID;
