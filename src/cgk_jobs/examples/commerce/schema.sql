-- One tenant's database. Amounts are integers in the minor unit of `currency`; moments are microseconds since 1970 UTC
-- in columns that end in _at; days are ISO dates in columns that end in _on.

-- Orders

-- Every amount that an order brought in or gave back, once: revenue is their sum.
CREATE TABLE IF NOT EXISTS orders (
    order_id     TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('created', 'cancelled', 'adjusted')),
    customer_id  TEXT,
    amount_cents INTEGER NOT NULL,
    currency     TEXT NOT NULL,
    booked_at    INTEGER NOT NULL,
    PRIMARY KEY (order_id, kind)
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

CREATE TABLE IF NOT EXISTS fulfilments (
    fulfillment_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, tracking_number TEXT, shipped_at INTEGER NOT NULL
) WITHOUT ROWID;

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
CREATE TABLE IF NOT EXISTS unattributed (order_id TEXT PRIMARY KEY, tries INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;

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
    stripe_account TEXT, wise_recipient TEXT, state TEXT NOT NULL DEFAULT 'applied', set_up INTEGER NOT NULL DEFAULT 0
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
CREATE TABLE IF NOT EXISTS payouts (
    payout_id TEXT PRIMARY KEY, creator_id TEXT NOT NULL, amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    currency TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'requested'
        CHECK (state IN ('requested', 'approved', 'sent', 'completed', 'failed', 'manual_review')),
    provider TEXT, transfer_id TEXT UNIQUE, requested_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expenses (
    reference TEXT PRIMARY KEY, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL, spent_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS profit_months (
    month_on TEXT PRIMARY KEY, revenue_cents INTEGER NOT NULL, expenses_cents INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS accounts (
    account TEXT PRIMARY KEY, balance_cents INTEGER NOT NULL, threshold_cents INTEGER NOT NULL, currency TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS balance_checks (
    account TEXT NOT NULL, checked_at INTEGER NOT NULL, balance_cents INTEGER NOT NULL, PRIMARY KEY (account, checked_at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS draw_requests (
    request_id TEXT PRIMARY KEY, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'approved', 'rejected', 'sent')),
    transfer_id TEXT UNIQUE
) WITHOUT ROWID;

-- Messages out

CREATE TABLE IF NOT EXISTS mails (
    mail_id TEXT PRIMARY KEY, kind TEXT NOT NULL, recipient TEXT NOT NULL, template TEXT NOT NULL,
    reference TEXT NOT NULL, due_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'awaiting', 'sent', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL DEFAULT 0, sent_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mails_due ON mails (kind, due_at) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS texts (
    text_id TEXT PRIMARY KEY, recipient TEXT NOT NULL, body TEXT NOT NULL, due_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed', 'refused')),
    attempts INTEGER NOT NULL DEFAULT 0, tried_at INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS texts_due ON texts (due_at) WHERE state = 'pending';
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
CREATE INDEX IF NOT EXISTS checkouts_idle ON checkouts (touched_at) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS gift_cards (
    card_id TEXT PRIMARY KEY, order_id TEXT, email TEXT NOT NULL, balance_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    expires_on TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'granted' CHECK (state IN ('granted', 'credited', 'failed'))
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscriptions (
    subscription_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL,
    interval_days INTEGER NOT NULL DEFAULT 30, next_billing_on TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'past_due', 'cancelled'))
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
