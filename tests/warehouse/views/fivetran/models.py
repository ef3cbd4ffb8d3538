"""What the dbt package for Intercom makes of its sources, as plain SQL: docs/fivetran.md.

``{f}`` is the schema of the sources, quoted. Nothing here filters or repairs more than the package.
"""

ACTIVE = "coalesce(_fivetran_active, true)"
LIVING = "NOT coalesce(_fivetran_deleted, false)"

PARTS = f"""
    SELECT conversation_id,
        count(*) AS count_total_parts,
        sum(CASE WHEN part_type LIKE '%assignment%' THEN 1 ELSE 0 END) AS count_assignments,
        sum(CASE WHEN part_type = 'open' THEN 1 ELSE 0 END) AS count_reopens,
        min(created_at) FILTER (WHERE part_type = 'comment' AND author_type IN ('user', 'lead'))
            AS first_contact_reply_at,
        max(created_at) FILTER (WHERE part_type = 'comment' AND author_type IN ('user', 'lead'))
            AS last_contact_reply_at,
        min(created_at) FILTER (WHERE part_type IN ('comment', 'assignment')
            AND author_type = 'admin' AND body IS NOT NULL) AS first_admin_response_at,
        max(created_at) FILTER (WHERE part_type IN ('comment', 'assignment')
            AND author_type = 'admin' AND body IS NOT NULL) AS last_admin_response_at,
        min(created_at) FILTER (WHERE part_type LIKE '%assignment%') AS first_assignment_at,
        max(created_at) FILTER (WHERE part_type LIKE '%assignment%') AS last_assignment_at,
        min(created_at) FILTER (WHERE part_type = 'open') AS first_reopen_at
    FROM {{f}}.conversation_part_history WHERE {ACTIVE} GROUP BY 1"""

# These read all versions.
CLOSES = """
    SELECT conversation_id, min(created_at) AS first_close_at, max(created_at) AS last_close_at,
        min(created_at) FILTER (WHERE author_type = 'admin') AS first_admin_close_at,
        max(created_at) FILTER (WHERE author_type = 'admin') AS last_admin_close_at,
        (array_agg(author_id ORDER BY created_at) FILTER (WHERE author_type = 'admin'))[1]
            AS first_close_by_admin_id,
        (array_agg(author_id ORDER BY created_at DESC) FILTER (WHERE author_type = 'admin'))[1]
            AS last_close_by_admin_id
    FROM {f}.conversation_part_history WHERE part_type = 'close' GROUP BY 1"""
AUTHORS = """
    SELECT conversation_id,
        (array_agg(author_id ORDER BY created_at))[1] AS first_contact_author_id,
        (array_agg(author_id ORDER BY created_at DESC))[1] AS last_contact_author_id
    FROM {f}.conversation_part_history WHERE author_type IN ('user', 'lead') GROUP BY 1"""
TEAMS = """
    SELECT conversation_id, (array_agg(assigned_to_id ORDER BY created_at))[1] AS first_team_id
    FROM {f}.conversation_part_history WHERE assigned_to_type = 'team' GROUP BY 1"""


def minutes(end: str, start: str) -> str:
    return f"round(extract(epoch FROM {end} - {start})::numeric / 60, 2)"


CONVERSATIONS = f"""
    SELECT c.id, c.created_at, c.state, c.source_type, c.conversation_rating_value,
        c.assignee_id, a.id IS NOT NULL AS is_assignee_admin,
        coalesce(p.count_total_parts, 0) AS count_total_parts,
        coalesce(p.count_assignments, 0) AS count_assignments,
        coalesce(p.count_reopens, 0) AS count_reopens,
        x.first_close_by_admin_id, x.last_close_by_admin_id,
        w.first_contact_author_id, w.last_contact_author_id, t.first_team_id,
        tm.name AS first_team_name,
        {minutes("p.first_admin_response_at", "c.created_at")} AS time_to_first_response_minutes,
        {minutes("p.last_admin_response_at", "c.created_at")} AS time_to_last_response_minutes,
        {minutes("p.first_assignment_at", "c.created_at")} AS time_to_first_assignment_minutes,
        {minutes("x.first_close_at", "p.first_contact_reply_at")} AS time_to_first_close_minutes,
        {minutes("x.last_close_at", "p.first_contact_reply_at")} AS time_to_last_close_minutes,
        (SELECT string_agg(DISTINCT g.name, ', ') FROM {{f}}.conversation_tag_history ct
         JOIN {{f}}.tag g ON g.id = ct.tag_id AND NOT coalesce(g._fivetran_deleted, false)
         WHERE ct.conversation_id = c.id AND coalesce(ct._fivetran_active, true))
            AS all_conversation_tags
    FROM {{f}}.conversation_history c
    LEFT JOIN {{f}}.admin a ON a.id = c.assignee_id AND NOT coalesce(a._fivetran_deleted, false)
    LEFT JOIN ({PARTS}) p ON p.conversation_id = c.id
    LEFT JOIN ({CLOSES}) x ON x.conversation_id = c.id
    LEFT JOIN ({AUTHORS}) w ON w.conversation_id = c.id
    LEFT JOIN ({TEAMS}) t ON t.conversation_id = c.id
    LEFT JOIN {{f}}.team tm ON tm.id = t.first_team_id AND NOT coalesce(tm._fivetran_deleted, false)
    WHERE coalesce(c._fivetran_active, true)"""


def median(value: str) -> str:
    return f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {value})"


_TOTALS = f"""
        sum(CASE WHEN m.state = 'closed' THEN 1 ELSE 0 END) AS total_conversations_closed,
        round(avg(m.count_total_parts), 2) AS average_conversation_parts,
        avg(m.conversation_rating_value) AS average_conversation_rating,
        {median("m.count_reopens")} AS median_conversations_reopened,
        {median("m.time_to_first_response_minutes")} AS median_time_to_first_response_time_minutes,
        {median("m.time_to_last_close_minutes")} AS median_time_to_last_close_minutes"""

ADMINS = f"""
    SELECT a.id AS admin_id, a.name, a.job_title, t.id AS team_id, t.name AS team_name,
        m.median_conversation_assignments, {{totals}}
    FROM {{f}}.admin a
    LEFT JOIN {{f}}.team_admin ta
        ON ta.admin_id = a.id AND NOT coalesce(ta._fivetran_deleted, false)
    LEFT JOIN {{f}}.team t ON t.id = ta.team_id AND NOT coalesce(t._fivetran_deleted, false)
    LEFT JOIN (SELECT m.last_close_by_admin_id,
            {median("m.count_assignments")} AS median_conversation_assignments, {_TOTALS}
        FROM ({CONVERSATIONS}) m WHERE m.is_assignee_admin GROUP BY 1) m
        ON m.last_close_by_admin_id = a.id
    WHERE {LIVING.replace("_fivetran", "a._fivetran")}
    ORDER BY a.id, t.id""".replace(
    "{totals}",
    "m.total_conversations_closed, m.average_conversation_parts, m.average_conversation_rating,"
    " m.median_conversations_reopened, m.median_time_to_first_response_time_minutes,"
    " m.median_time_to_last_close_minutes",
)

COMPANIES = f"""
    SELECT y.id, y.name, {_TOTALS}
    FROM ({CONVERSATIONS}) m
    JOIN {{f}}.contact_company_history cc ON cc.contact_id = m.first_contact_author_id
        AND coalesce(cc._fivetran_active, true)
    JOIN {{f}}.company_history y ON y.id = cc.company_id AND coalesce(y._fivetran_active, true)
    GROUP BY 1, 2 ORDER BY 1"""

CONTACTS = """
    SELECT c.id, c.name, c.role, c.admin_id,
        (SELECT string_agg(DISTINCT g.name, ', ') FROM {f}.contact_tag_history x
         JOIN {f}.tag g ON g.id = x.tag_id AND NOT coalesce(g._fivetran_deleted, false)
         WHERE x.contact_id = c.id AND coalesce(x._fivetran_active, true)) AS all_contact_tags,
        (SELECT string_agg(DISTINCT y.name, ', ') FROM {f}.contact_company_history x
         JOIN {f}.company_history y ON y.id = x.company_id AND coalesce(y._fivetran_active, true)
         WHERE x.contact_id = c.id AND coalesce(x._fivetran_active, true))
            AS all_contact_company_names
    FROM {f}.contact_history c WHERE coalesce(c._fivetran_active, true) ORDER BY c.id"""

COMPANY_PROFILES = """
    SELECT y.id, y.name, y.plan_name, y.monthly_spend,
        (SELECT string_agg(DISTINCT g.name, ', ') FROM {f}.company_tag_history x
         JOIN {f}.tag g ON g.id = x.tag_id AND NOT coalesce(g._fivetran_deleted, false)
         WHERE x.company_id = y.id AND coalesce(x._fivetran_active, true)) AS all_company_tags
    FROM {f}.company_history y WHERE coalesce(y._fivetran_active, true) ORDER BY y.id"""

ARTICLES = """
    SELECT a.id, a.title, b.name AS author, k.name AS collection, o.name AS parent_collection,
        h.display_name AS help_center
    FROM {f}.article_history a
    LEFT JOIN {f}.admin b ON b.id = a.author_id AND NOT coalesce(b._fivetran_deleted, false)
    LEFT JOIN {f}.collection_history k
        ON k.id = a.collection_id AND coalesce(k._fivetran_active, true)
    LEFT JOIN {f}.collection_history o ON o.id = k.parent_id AND coalesce(o._fivetran_active, true)
    LEFT JOIN {f}.help_center_history h
        ON h.id = k.help_center_id AND coalesce(h._fivetran_active, true)
    WHERE coalesce(a._fivetran_active, true) ORDER BY a.id"""
