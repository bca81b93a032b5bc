/* Circular doubly linked lists, intrusive.  A head is a `struct list` too; an element not on any
   list is not initialised to anything in particular unless list_init was called on it. */
#pragma once

#include "runtime/types.h"

struct list {
    struct list *next;
    struct list *previous;
};

static inline void list_init(struct list *head)
{
    head->next = head->previous = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert_after(struct list *position, struct list *element)
{
    element->previous = position;
    element->next = position->next;
    position->next->previous = element;
    position->next = element;
}

static inline void list_push_front(struct list *head, struct list *element)
{
    list_insert_after(head, element);
}

static inline void list_push_back(struct list *head, struct list *element)
{
    list_insert_after(head->previous, element);
}

/* Takes the element out and leaves it alone on a list of its own. */
static inline void list_remove(struct list *element)
{
    element->previous->next = element->next;
    element->next->previous = element->previous;
    list_init(element);
}

static inline void list_move_back(struct list *head, struct list *element)
{
    element->previous->next = element->next;
    element->next->previous = element->previous;
    list_push_back(head, element);
}

/* The first element, taken out; NULL when the list is empty. */
static inline struct list *list_pop_front(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

#define list_for_each(head, element)                                                               \
    for (struct list *element = (head)->next; element != (head); element = element->next)

/* The body may remove `element`. */
#define list_for_each_safe(head, element)                                                          \
    for (struct list *element = (head)->next, *after_ = element->next; element != (head);          \
         element = after_, after_ = element->next)
